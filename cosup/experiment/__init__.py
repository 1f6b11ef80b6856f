"""`cosup experiment`: a grid of training runs, all measured on the same questions, as one report."""
