"""The same API without `await`: a loop in a thread of its own, and classes derived from the async ones."""
