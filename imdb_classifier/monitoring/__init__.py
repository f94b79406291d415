"""Whether scored data still looks like the data that the model was checked on."""
