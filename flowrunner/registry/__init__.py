"""What is known: the flows in force and the state of their source, in memory."""
