import unittest

from tally.count import count_words


class CountWordsTest(unittest.TestCase):
    def test_puts_the_most_frequent_first(self):
        self.assertEqual(list(count_words("b a A").items()), [("a", 2), ("b", 1)])


if __name__ == "__main__":
    unittest.main()
