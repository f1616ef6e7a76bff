"""Problems: pre-trained models, their tasks and shapes."""
