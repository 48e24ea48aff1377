"""States -> shares, ood_score, p-value."""
