SELECT plugin, digest FROM pin_reviews WHERE data IS NULL
