"""The platform that is Amazon SageMaker: the only room that talks to AWS, through boto3 alone.

``running`` and ``hosting`` stand on ``asking``, that on ``setup`` and ``storage``, and all on ``aws``.
"""
