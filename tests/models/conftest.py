import torch

torch.set_num_threads(1)  # small nets: on busy cores a second thread costs tenfold, and gains nothing
