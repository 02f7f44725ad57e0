"""Training that any task can use: ``fit``, its checkpoints, its schedule and its device. No task's words."""
