SELECT pins_since FROM catalogue
