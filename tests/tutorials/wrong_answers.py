"""Wrong answers that students give, by exercise: each must be refused by the exercise's check."""

from wrong_1 import WRONG as WRONG_1
from wrong_2 import WRONG as WRONG_2
from wrong_3 import WRONG as WRONG_3
from wrong_4 import WRONG as WRONG_4
from wrong_5 import WRONG as WRONG_5
from wrong_6 import WRONG as WRONG_6
from wrong_7 import WRONG as WRONG_7

WRONG = {**WRONG_1, **WRONG_2, **WRONG_3, **WRONG_4, **WRONG_5, **WRONG_6, **WRONG_7}
