"""Bars as they close: where they come from, and the feed that cuts them into the steps of the stream."""
