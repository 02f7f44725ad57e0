"""The platform that is Amazon SageMaker: the only room that talks to AWS, through boto3 alone."""
