"""Tests of greeter; a command is still the function that it was: python3 -B -m unittest discover -s DIRECTORY"""

import unittest

from cli import greet
from smcp_plugin import Failure


class Greeting(unittest.TestCase):
    def test_somebody_is_greeted(self):
        self.assertEqual({"greeting": "Hello, Ada!"}, greet("Ada"))
        self.assertEqual({"greeting": "Hallo, Ada! Hallo, Ada!"}, greet("Ada", language="de", times=2))

    def test_nobody_is_not(self):
        with self.assertRaises(Failure) as caught:
            greet(" ")
        self.assertEqual("name_missing", caught.exception.code)


if __name__ == "__main__":
    unittest.main()
