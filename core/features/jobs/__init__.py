"""Jobs and schedules: list, cancel, run, submit."""
