"""A Delaunay triangulation that knows which of its triangles any correct program must find.

Points are added from left to right, each joined to the hull edges it sees, and edges are flipped until every
circumcircle is empty (Lawson 1977). A triangle is *sure* if no neighbour comes near its circumcircle: then it
is in every Delaunay triangulation, also in one computed with rounding. The others (points on a common circle,
slivers) a program is free to choose. Coordinates are float64 that hold float32 values up to a few hundred.
"""

from __future__ import annotations

import numba
import numpy as np

from sai_bench.compilation import compiled

SURE_HEIGHT = 1e-7
"""How far above a triangle's plane, on the paraboloid x^2 + y^2, the neighbours' corners must lie."""

SURE_ALTITUDE = 1e-4
"""Triangles with a smaller altitude are slivers and never sure."""

_ROUNDING = 1e-14


@numba.njit(inline="always")
def _next(e):
    """Return the half-edge that follows in the same triangle."""
    return e - 2 if e % 3 == 2 else e + 1


@numba.njit(inline="always")
def _doubled_area(x, y, a, b, c):
    """Return twice the signed area of a triangle of points, positive if counter-clockwise."""
    return (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])


@numba.njit(inline="always")
def _in_circle(x, y, a, b, c, d):
    """Return (determinant, size of its terms): positive if d is inside the circle through a, b, c."""
    ax, ay, bx, by, cx, cy = x[a] - x[d], y[a] - y[d], x[b] - x[d], y[b] - y[d], x[c] - x[d], y[c] - y[d]
    aa, bb, cc = ax * ax + ay * ay, bx * bx + by * by, cx * cx + cy * cy
    determinant = aa * (bx * cy - by * cx) + bb * (cx * ay - cy * ax) + cc * (ax * by - ay * bx)
    size = (
        aa * (abs(bx * cy) + abs(by * cx))
        + bb * (abs(cx * ay) + abs(cy * ax))
        + cc * (abs(ax * by) + abs(ay * bx))
    )
    return determinant, size


@numba.njit
def _left_to_right(x, y):
    """Return the order of points by x, then y."""
    order = np.argsort(x)
    for i in range(1, len(order)):
        moving = order[i]
        j = i
        while j > 0 and x[order[j - 1]] == x[moving] and y[order[j - 1]] > y[moving]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = moving
    return order


@numba.njit
def _flip_until_empty(x, y, corner, twin, hull_edge, waiting, count):
    """Flip the `count` waiting edges and those that follow while a circumcircle is not empty.

    Returns:
        False if it does not come to an end.
    """
    for _ in range(20 * len(corner) + 100):
        if count == 0:
            return True
        count -= 1
        e = waiting[count]
        f = twin[e]
        if f < 0:
            continue
        e_next, f_next = _next(e), _next(f)
        e_last, f_last = _next(e_next), _next(f_next)
        c, d = corner[e_last], corner[f_last]
        determinant, size = _in_circle(x, y, corner[e], corner[e_next], c, d)
        if determinant <= _ROUNDING * size:
            continue
        beyond_c, beyond_d = twin[e_last], twin[f_last]
        corner[e], corner[f] = d, c
        twin[e], twin[f], twin[e_last], twin[f_last] = beyond_d, beyond_c, f_last, e_last
        if beyond_d >= 0:
            twin[beyond_d] = e
        else:
            hull_edge[d] = e
        if beyond_c >= 0:
            twin[beyond_c] = f
        else:
            hull_edge[c] = f
        if count + 2 > len(waiting):
            return False
        waiting[count], waiting[count + 1] = e, f_next
        count += 2
    return False


@compiled("Tuple((int64[::1], int64[::1]))(float64[::1], float64[::1])")
def triangulate(x, y):
    """Triangulate points [n] that are all different.

    Returns:
        (corner, twin): half-edge 3 t + i runs from point `corner[3 t + i]` of triangle t, counter-clockwise;
        `twin` is the half-edge of the neighbour, -1 on the hull. Both are empty if points coincide, all lie
        on a line, or rounding got in the way.
    """
    n = len(x)
    nothing = np.empty(0, np.int64)
    if n < 3:
        return nothing, nothing
    order = _left_to_right(x, y)
    for i in range(1, n):
        if x[order[i]] == x[order[i - 1]] and y[order[i]] == y[order[i - 1]]:
            return nothing, nothing
    first = 2  # the first point off the line of those before it
    while first < n and _doubled_area(x, y, order[0], order[1], order[first]) == 0.0:
        first += 1
    if first == n:
        return nothing, nothing

    corner, twin = np.empty(6 * n, np.int64), np.full(6 * n, -1, np.int64)
    hull_next, hull_last, hull_edge = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    waiting = np.empty(6 * n, np.int64)
    apex = order[first]
    leftwards = _doubled_area(x, y, order[0], order[1], apex) < 0.0
    edges = 0
    for i in range(first - 1):
        k = first - 2 - i if leftwards else i
        a, b = (order[k + 1], order[k]) if leftwards else (order[k], order[k + 1])
        corner[edges], corner[edges + 1], corner[edges + 2] = a, b, apex
        hull_edge[a], hull_next[a], hull_last[b] = edges, b, a
        if i:
            twin[edges + 2], twin[edges - 2] = edges - 2, edges + 2
        edges += 3
    start, end = (order[first - 1], order[0]) if leftwards else (order[0], order[first - 1])
    hull_next[end], hull_last[apex], hull_edge[end] = apex, end, edges - 2
    hull_next[apex], hull_last[start], hull_edge[apex] = start, apex, 2
    count = 0
    for e in range(edges):
        waiting[count] = e
        count += 1
    if not _flip_until_empty(x, y, corner, twin, hull_edge, waiting, count):
        return nothing, nothing

    for i in range(first + 1, n):
        p = order[i]
        low = high = order[i - 1]
        while _doubled_area(x, y, hull_last[low], low, p) < 0.0:
            low = hull_last[low]
        while _doubled_area(x, y, high, hull_next[high], p) < 0.0:
            high = hull_next[high]
        if low == high:
            return nothing, nothing
        a, count = low, 0
        while a != high:
            b = hull_next[a]
            inside = hull_edge[a]
            corner[edges], corner[edges + 1], corner[edges + 2] = a, p, b
            twin[edges], twin[edges + 1] = -1, -1
            twin[edges + 2], twin[inside] = inside, edges + 2
            if count:
                twin[edges], twin[edges - 2] = edges - 2, edges
            else:
                hull_edge[low] = edges
            waiting[count] = edges + 2
            count += 1
            edges += 3
            a = b
        hull_edge[p] = edges - 2
        hull_next[low], hull_last[p] = p, low
        hull_next[p], hull_last[high] = high, p
        if not _flip_until_empty(x, y, corner, twin, hull_edge, waiting, count):
            return nothing, nothing
    return corner[:edges], twin[:edges]


@compiled("boolean[::1](float64[::1], float64[::1], int64[::1], int64[::1])")
def sure_triangles(x, y, corner, twin):
    """Return which triangles are sure, [t] bool; none if the triangulation itself is in doubt."""
    triangles = len(corner) // 3
    sure = np.zeros(triangles, np.bool_)
    widest = 0.0
    for t in range(triangles):
        a, b, c = corner[3 * t], corner[3 * t + 1], corner[3 * t + 2]
        area = _doubled_area(x, y, a, b, c)
        if area <= 0.0:
            return np.zeros(triangles, np.bool_)
        longest = max(
            np.hypot(x[b] - x[a], y[b] - y[a]),
            np.hypot(x[c] - x[b], y[c] - y[b]),
            np.hypot(x[a] - x[c], y[a] - y[c]),
        )
        widest = max(widest, area / longest)
        sure[t] = area / longest > SURE_ALTITUDE
        for e in range(3 * t, 3 * t + 3):
            f = twin[e]
            if sure[t] and f >= 0:
                d = corner[_next(_next(f))]
                determinant, size = _in_circle(x, y, a, b, c, d)
                sure[t] = -determinant > SURE_HEIGHT * area + _ROUNDING * size
    if widest < 10 * SURE_ALTITUDE:
        return np.zeros(triangles, np.bool_)
    return sure


@compiled("boolean(float64[::1], float64[::1], int64[::1], int64[::1])")
def is_sound(x, y, corner, twin):
    """Return whether triangles cover the convex hull of their corners without folds or flat triangles."""
    follower = np.full(len(x), -1, np.int64)
    for e in range(len(corner)):
        start, end = corner[e], corner[_next(e)]
        if e % 3 == 0 and _doubled_area(x, y, start, end, corner[e + 2]) <= 0.0:
            return False
        f = twin[e]
        if f < 0:
            if follower[start] >= 0:
                return False
            follower[start] = end
        elif corner[f] != end or corner[_next(f)] != start:
            return False
    for a in range(len(x)):
        if follower[a] >= 0:
            b = follower[a]
            if follower[b] < 0 or _doubled_area(x, y, a, b, follower[b]) < -_ROUNDING:
                return False
    return True
