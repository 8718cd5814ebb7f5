"""Source datasets: importers of published annotations, one file a dataset, all into one normal form."""
