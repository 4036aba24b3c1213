import unittest

from shop import calendar


class CalendarTest(unittest.TestCase):
    def test_every_fourth_year_is_longer(self):
        self.assertEqual((calendar.days(2023), calendar.days(2024)), (365, 366))
