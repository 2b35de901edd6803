"""The paper's table of spaces."""

from __future__ import annotations

from naslib_ecnas.figures.tables import spaces_sheet
from naslib_ecnas.space import Space


def test_sizes_against_the_cells_themselves(make_bench) -> None:  # type: ignore[no-untyped-def]
    benches = [make_bench(), make_bench("five", vertices=5, budgets=(4,), without=(1, 2),
                                        leave_out=("training_time_s",))]  # fmt: skip
    four, five = spaces_sheet(benches).records()
    for line, vertices in ((four, 4), (five, 5)):
        cells = [Space(vertices).cell(row) for row in range(len(Space(vertices)))]
        assert line["cells"] == len(cells)
        assert line["edges"] == max(cell.edges for cell in cells)
        counts = [sum(c.vertices == v for c in cells) for v in range(2, vertices + 1)]
        assert line["cells_by_vertices"] == " ".join(map(str, counts))
    assert four["cells_by_vertices"] == "1 6 84"
    assert (four["trainings"], four["cells_in_table"]) == (364, 91)
    assert (five["trainings"], five["cells_in_table"], five["budgets"]) == (2530, 2530, "4")
    assert (five["energy_kwh"], five["training_time_s"]) == ("synthetic", "absent")


def test_the_space_of_the_paper(make_bench) -> None:  # type: ignore[no-untyped-def]
    """1 / 6 / 84 / 2,441 / 62,010 / 359,082 cells of 2 to 7 vertices, 9 edges at most."""
    bench = make_bench("seven", vertices=7, budgets=(4,), without=tuple(range(91, 423_624)))
    (line,) = spaces_sheet([bench]).records()
    assert (line["cells"], line["edges"], line["cells_in_table"]) == (423_624, 9, 91)
    assert line["cells_by_vertices"] == "1 6 84 2441 62010 359082"
