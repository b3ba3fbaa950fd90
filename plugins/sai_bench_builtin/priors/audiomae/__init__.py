"""AudioMAE as a recognition prior: filterbank, frozen encoder, published checkpoints, trained head.

P.-Y. Huang et al., "Masked autoencoders that listen", NeurIPS 2022 (arXiv 2207.06405).
"""
