"""Train, val and ood_val -> a fitted, calibrated model."""
