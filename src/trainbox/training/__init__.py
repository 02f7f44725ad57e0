"""Training that any task can use: ``fit``, its checkpoints, its schedule, and the device it runs on. No task's words."""
