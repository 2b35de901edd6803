"""Campaigns of measurements: the units, claims, records, validation and launch."""

from naslib_ecnas.campaign.cluster import Cluster, launch
from naslib_ecnas.campaign.export import SyntheticError, columns_of, export
from naslib_ecnas.campaign.measurement import Measurement
from naslib_ecnas.campaign.plan import DataChoice, Pace, Plan, Settings, Unit, make_plan
from naslib_ecnas.campaign.status import Status, status
from naslib_ecnas.campaign.validate import Validation, requeue, validate
from naslib_ecnas.campaign.worker import Done, measure_unit, work

__all__ = [
    "Cluster",
    "DataChoice",
    "Done",
    "Measurement",
    "Pace",
    "Plan",
    "Settings",
    "Status",
    "SyntheticError",
    "Unit",
    "Validation",
    "columns_of",
    "export",
    "launch",
    "make_plan",
    "measure_unit",
    "requeue",
    "status",
    "validate",
    "work",
]
