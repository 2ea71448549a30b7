"""Scripts that are started as a user starts them, each in a process of its own, by the workload `cold_process`."""
