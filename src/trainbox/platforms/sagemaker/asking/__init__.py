"""What SageMaker is asked for, before anything is spent: plan, request, estimate, and the checks of both."""
