"""Does a merged model answer like its base with the adapter beside it? Writes nothing."""
