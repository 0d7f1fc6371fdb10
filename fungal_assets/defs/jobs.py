"""Jobs, named for what they keep.

One job may hold unpartitioned assets and assets of one partitions definition, not of two; so a growth is two runs:
`collection` on a resolution, then `growth` on a method and a resolution. `fungal grow` and the schedule chain them.
The ancestors are a branch beside the road, which `fungal grow --with ancestors` runs after it: whatever assets have
that group. The atlas, the comparison and publications are jobs of their own, which nothing but a person starts.
"""

import dagster as dg

COLLECTION_ASSETS = (
    "raw_images",
    "feature_vectors",
    "clusters",
    "name_lexicon",
    "species",
    "captions",
    "prompts",
    "prepared_images",
    "captioned_dataset",
    "rehearsal",
)
GROWTH_ASSETS = (
    "fine_tuned_weights",
    "pruned_weights",
    "sample_galleries",
    "forgetting_report",
    "species_report",
    "forms_3d",
    "meshes",
    "videos_3d",
    "field_guide",
)
ATLAS_ASSETS = ("resolution_atlas",)
COMPARISON_ASSETS = ("weights_comparison",)
PUBLICATION_ASSETS = ("published_dataset", "published_weights")
BRANCHES = ("ancestors",)
"""Groups of assets beside the road, each a job of the same name."""

collection = dg.define_asset_job(
    "collection",
    selection=dg.AssetSelection.assets(*COLLECTION_ASSETS),
    description="Pictures, clusters, species, prompts, the captioned dataset and what the base model rehearses, at one "
    "resolution.",
)
growth = dg.define_asset_job(
    "growth",
    selection=dg.AssetSelection.assets(*GROWTH_ASSETS),
    description="Weights, galleries, the reports, forms, meshes, videos and the field guide, by one method at one "
    "resolution, from the newest collection.",
)
atlas = dg.define_asset_job(
    "atlas",
    selection=dg.AssetSelection.assets(*ATLAS_ASSETS),
    description="Where in the tuned weights of one method at one resolution pictures of several sizes part ways.",
)
ancestors = dg.define_asset_job(
    "ancestors",
    selection=dg.AssetSelection.groups("ancestors"),
    description="The roads that the artist began on, from the newest collection and forms.",
)
comparison = dg.define_asset_job(
    "comparison",
    selection=dg.AssetSelection.assets(*COMPARISON_ASSETS),
    description="All tuned weights of one resolution that the store has reports on, beside each other.",
)
dataset_publication = dg.define_asset_job(
    "dataset_publication",
    selection=dg.AssetSelection.assets("published_dataset"),
    description="The captioned dataset of one resolution to the Hugging Face hub; needs a token in $HF_TOKEN.",
)
weights_publication = dg.define_asset_job(
    "weights_publication",
    selection=dg.AssetSelection.assets("published_weights"),
    description="The pruned weights of one method at one resolution to the Hugging Face hub; needs a token in "
    "$HF_TOKEN.",
)
default_jobs = [
    collection,
    growth,
    ancestors,
    atlas,
    comparison,
    dataset_publication,
    weights_publication,
]
