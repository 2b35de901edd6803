"""NASLib's BasePredictor, which none of its runners offers, in a script written like a runner.

Run it with: ecnas naslib base_predictor.py --config-file re.yaml
"""

import logging

from naslib import utils
from naslib.defaults.trainer import Trainer
from naslib.optimizers import BasePredictor
from naslib.search_spaces import get_search_space
from naslib.utils import get_dataset_api, setup_logger

config = utils.get_config_from_args(config_type="nas")
logger = setup_logger(config.save + "/log.log")
logger.setLevel(logging.INFO)
utils.set_seed(config.seed)

dataset_api = get_dataset_api(config.search_space, config.dataset)
optimizer = BasePredictor(config)
optimizer.adapt_search_space(
    get_search_space(config.search_space, config.dataset), dataset_api=dataset_api
)

trainer = Trainer(optimizer, config, lightweight_output=True)
trainer.search()
trainer.evaluate(dataset_api=dataset_api)
