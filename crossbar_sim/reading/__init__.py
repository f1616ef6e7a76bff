"""The analog matrix-vector product and its converters' circuits."""
