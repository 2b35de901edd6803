"""A nasbench101 graph of NASLib's whose network is built late and whose clones are cheap.

NASLib builds the network of every candidate and deep-copies a graph for every clone, though a
search on a table looks at neither. Here clones share one graph until a network is wanted.
"""

from __future__ import annotations

import copy
import importlib
from typing import Any

from naslib_ecnas.adapters import naslib_compat

__all__ = ["LazyNetwork"]

_torch: Any = importlib.import_module("torch")
_networkx: Any = importlib.import_module("networkx")
_views: Any = importlib.import_module("networkx.classes.reportviews")
_graph: Any = naslib_compat.require("naslib.search_spaces.core.graph")
_conversions: Any = naslib_compat.require("naslib.search_spaces.nasbench101.conversions")
_Base: Any = naslib_compat.require("naslib.search_spaces.nasbench101.graph").NasBench101SearchSpace

#: Attributes of a module that a copy must not share with its original.
_OWN = [name for name, value in vars(_torch.nn.Module()).items() if isinstance(value, dict | set)]


class LazyNetwork(_Base):  # type: ignore[misc]
    """NASLib's `NasBench101SearchSpace` with a network built from `get_spec()` on demand.

    Demanding it are `parse`, `forward`, `to` (NASLib's zero-cost proxies move a network before they
    run it) and `edges`, where NASLib keeps it.
    """

    #: Attributes that even a deep copy has in common with its original.
    SHARED: tuple[str, ...] = ()

    def __init__(self) -> None:
        _graph.Graph.__init__(self)
        self._shared = False
        self._built = False
        # A graph without an edge would be empty, and therefore false.
        self.add_edge(1, 2)

    def _build(self) -> None:
        """Make the network, where there is an architecture and it is not made yet."""
        spec = None if self._built else self.get_spec()
        if spec is not None:
            self._own_graph()
            self._built = True
            self.edges[1, 2].set("op", _conversions.convert_spec_to_model(spec))

    def _unbuild(self) -> None:
        """Drop the network, where one was made."""
        if self._built:
            self._shared = True
            self._own_graph()
            self._modules.clear()
            self.is_parsed = False
            self._built = False

    def _own_graph(self) -> None:
        """Have a graph of one's own instead of one that clones share."""
        if self._shared:
            attributes = dict(self.graph)
            _networkx.DiGraph.__init__(self)
            self.graph.update(attributes)
            self.add_edge(1, 2)
            self._shared = False

    @property
    def nodes(self) -> Any:
        """The graph's nodes, as networkx has them."""
        self._own_graph()
        return _views.NodeView(self)

    @property
    def edges(self) -> Any:
        """The graph's one edge, whose `op` is the network."""
        self._own_graph()
        self._build()
        return _views.OutEdgeView(self)

    def parse(self) -> None:
        """Build the network and register it with PyTorch."""
        self._build()
        super().parse()

    def forward(self, x: Any, *args: Any) -> Any:
        """Logits of the network, (n, 10) for (n, 3, 32, 32) images."""
        self._build()
        return super().forward(x, *args)

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Build the network and move it."""
        if not self.is_parsed and self.get_spec() is not None:
            self.parse()
        return super().to(*args, **kwargs)

    def clone(self) -> Any:
        """A copy; a deep one only where a network is built."""
        return copy.deepcopy(self) if self._built else self._copy()

    def _copy(self) -> Any:
        """A copy without a network, which shares the graph until one of the two needs it."""
        if not self._built:
            self.__dict__["_shared"] = True
        new = object.__new__(type(self))
        own = new.__dict__
        own.update(self.__dict__)
        for name in _OWN:
            own[name] = own[name].copy()
        new._unbuild()
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if not self._built:
            new = memo[id(self)] = self._copy()
            return new
        new = memo[id(self)] = object.__new__(type(self))
        for name in self.SHARED:
            value = getattr(self, name)
            memo[id(value)] = value
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new
