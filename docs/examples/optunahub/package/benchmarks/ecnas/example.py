from __future__ import annotations

import optuna
import optunahub

ecnas = optunahub.load_module("benchmarks/ecnas")
# Less energy and more accuracy, of cells that train in at most 20 minutes.
problem = ecnas.Problem("7v", constraints={"training_time_s": 1200})
study = optuna.create_study(
    directions=problem.directions, sampler=optuna.samplers.NSGAIISampler(seed=0)
)
study.optimize(problem, n_trials=300)
for trial in study.best_trials:
    print(trial.values, trial.user_attrs["cell"])
print(problem.spent)
