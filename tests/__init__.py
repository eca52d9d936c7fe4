import pytest

# Before it is imported, so that a check that fails says what it compared.
pytest.register_assert_rewrite("recollect.testing")
