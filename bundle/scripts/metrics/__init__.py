"""Fusion metrics in the field's own conventions, one metric a file: function, class and declaration.

``suite`` finds the declarations and computes all metrics at once; ``shared`` holds what several metrics compute from
the same images; ``base`` what all of them need; ``loss_map`` maps what a fused image does not hold of its sources.
"""
