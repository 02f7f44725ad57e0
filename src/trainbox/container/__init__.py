"""The program in the image: one training job below a base folder, as SageMaker lays it out."""
