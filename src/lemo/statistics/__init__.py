"""The statistics of experiments: pure values in, pure values out, no engine and no clock."""
