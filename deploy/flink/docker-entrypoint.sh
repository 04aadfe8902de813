#!/bin/sh
# The image `flink` runs the program that it is given, whatever that is.
exec "$@"
