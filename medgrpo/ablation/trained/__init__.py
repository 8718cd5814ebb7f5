"""Rows of the paper's ablation, trained on the synthetic world with the tiny model, over seeds."""

from medgrpo.ablation.trained.graph import Node, run_graph
from medgrpo.ablation.trained.plan import TrainedPlan, read_plan
from medgrpo.ablation.trained.results import trained_results
from medgrpo.ablation.trained.stages import trained_nodes

__all__ = ["Node", "TrainedPlan", "read_plan", "run_graph", "trained_nodes", "trained_results"]
