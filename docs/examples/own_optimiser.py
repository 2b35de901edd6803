"""A new search method, compared with two methods of the package under the same rules.

Run it with: python own_optimiser.py, followed by options of `ecnas compare` to change its settings.
"""

import sys

import numpy as np

from naslib_ecnas import cli
from naslib_ecnas.analysis import nondominated
from naslib_ecnas.search import METHODS, Optimiser


class Climber(Optimiser):
    """Mutates nondominated cells."""

    name = "climber"

    def __init__(self, problem, *, parents: int = 10) -> None:
        super().__init__(problem)  # sets self.space, self.rng, self.rows and self.budgets
        self.parents = parents
        self.front = np.empty(0, dtype=np.int32)
        self.costs = np.empty((0, 0))

    def ask(self):
        """(n,) rows to train next."""
        if not len(self.front):
            return self.sample(self.parents)  # uniform over the allowed rows
        chosen = self.rng.choice(self.front, self.parents)
        children = self.space.mutate(chosen, self.rng)
        children = children[self.allowed(children)]
        return children if len(children) else self.sample(1)

    def tell(self, rows, costs):
        """(n,) rows and their (n, m) costs: less is better in every column."""
        rows, costs = self._checked(rows, costs)
        if len(self.front):
            rows = np.concatenate([self.front, rows])
            costs = np.concatenate([self.costs, costs])
        kept = nondominated(costs)
        self.front, self.costs = rows[kept], costs[kept]


if __name__ == "__main__":
    METHODS[Climber.name] = Climber
    what = "compare --methods climber,semoa,random --tables 5v --seeds 5 --evaluations 200"
    sys.exit(cli.main([*what.split(), "--out", "comparison", *sys.argv[1:]]))
