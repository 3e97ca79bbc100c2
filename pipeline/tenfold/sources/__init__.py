"""Where digits come from: Kaggle, MNIST, the sample. The only layer that may know test labels."""
