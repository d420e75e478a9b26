SELECT scope, name FROM pauses
