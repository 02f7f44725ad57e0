"""The SageMaker training contract: what stands below the base folder before a run, and what is written there.

Nothing here knows a task, and nothing here imports a training framework.
"""
