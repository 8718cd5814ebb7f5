"""The data-construction pipeline: from the annotations of source datasets to verified instruction data."""
