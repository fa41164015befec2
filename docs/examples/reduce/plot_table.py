"""
A code for a table of mixed columns
===================================

:class:`~skae.TableAE` takes a frame of numbers, booleans and categories as it is. Each
point of its code stands for a whole row of such a frame.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from skae import TableAE

# %%
# A made table of flats. All columns depend on two hidden traits, the distance from the
# centre and the size. A tenth of the values is missing.

rng = np.random.default_rng(0)
far, size = rng.uniform(0, 10, 1500), rng.gamma(9, 8, 1500)
kinds = np.select([size < 45, (far > 6) & (size > 85)], ["studio", "house"], "flat")
flats = pd.DataFrame(
    {
        "price": np.round(size * (9 - 0.5 * far) * rng.normal(1, 0.05, 1500)),
        "rooms": np.maximum(1, np.round(size / 25 + rng.normal(0, 0.2, 1500))),
        "minutes": np.round(5 + 4 * far + rng.normal(0, 2, 1500)),
        "garden": far + size / 20 + rng.normal(0, 0.5, 1500) > 10,
        "kind": pd.Categorical(kinds, ["studio", "flat", "house"]),
        "zone": np.array(["A", "B", "C"])[np.digitize(far, [2, 5])],
    }
).astype({"rooms": "Int64", "minutes": "Int64", "garden": "boolean"})
whole, seen = flats, flats.mask(rng.random(flats.shape) < 0.1)
train, test = train_test_split(np.arange(1500), random_state=0)
ae = TableAE(2, max_iter=80, random_state=0).fit(seen.iloc[train])

# %%
# The reconstruction is a frame of the same columns and dtypes, without missing values.

print(seen.iloc[test].head(4).to_string())
print(ae.reconstruct(seen.iloc[test]).head(4).to_string())

# %%
# Every point of the plane can be decoded. Colours of the background are decoded
# values, those of the points are the values of test rows.

codes = ae.transform(seen.iloc[test])
low, high = codes.min(axis=0), codes.max(axis=0)
axes_of_grid = [np.linspace(a, b, 120) for a, b in zip(low, high, strict=True)]
grid = np.stack(np.meshgrid(*axes_of_grid), axis=-1)
decoded = ae.inverse_transform(grid.reshape(-1, 2))
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for ax, name in zip(axes, ["kind", "zone", "minutes"], strict=True):
    both = pd.concat([decoded[name], whole[name].iloc[test]])
    values = both if name == "minutes" else pd.factorize(both, sort=True)[0]
    values = np.asarray(values, dtype=float)
    limits = {"vmin": values.min(), "vmax": values.max()}
    picture = values[: len(decoded)].reshape(grid.shape[:2])
    ax.pcolormesh(*axes_of_grid, picture, alpha=0.4, **limits)
    ax.scatter(*codes.T, c=values[len(decoded) :], s=6, **limits)
    ax.set(title=name, xticks=[], yticks=[])
plt.show()
