"""Loaded by processes that tests start with this folder in PYTHONPATH: their clock starts at LEMO_TEST_CLOCK."""

import os
from datetime import datetime

import time_machine

time_machine.travel(datetime.fromisoformat(os.environ["LEMO_TEST_CLOCK"]), tick=True).start()
