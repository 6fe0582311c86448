"""Long feedforward filters."""
