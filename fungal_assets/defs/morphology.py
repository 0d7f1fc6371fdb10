"""Assets of the stage `morphology`: one feature vector per image, and the clusters that they fall into."""

import dagster as dg
from pydantic import Field

from fungal_assets.defs.collection import raw_images
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Output
from fungal_assets.verdicts import Verdict

MIN_STABILITY = 0.4
MOST_OF_A_COLOUR, FEWEST_OF_A_CREATOR = 0.95, 5
UNLIKE_FUNGI, KNOWN_MEDIAN = 0.02, 0.4
MAX_ETA2_COLOUR = 0.6


class FeatureVectorsConfig(StageConfig):
    """How the vectors are computed."""

    extractor: str | None = Field(
        default=None,
        description="What makes the vectors: efficientnet-lite0, or efficientnet-lite0-int8, nearly the same for "
        "less than half the time; or of the hub vgg16-fc2, dinov2-small or clip-vit-base-patch32, or a folder with a "
        "model of their kind.",
    )
    batch_size: int | None = Field(
        default=None, ge=1, le=256, description="Images in one pass of the network."
    )


def _one_vector_each(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.morphology.checks import check_vectors

    return check_vectors(output.path, inputs["raw_images"].path)


def _all_may_be_fungi(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.morphology.checks import check_fungi

    return check_fungi(output.path, least=UNLIKE_FUNGI, known=KNOWN_MEDIAN)


VECTOR_CHECKS = (
    Check(
        "one_vector_per_image",
        "Every admitted image has one finite feature vector of length one.",
        _one_vector_each,
        blocking=True,
    ),
    Check(
        "all_may_be_fungi",
        "Among photographs, none is unlike a fungus to a classifier of ImageNet.",
        _all_may_be_fungi,
    ),
)


@dg.asset(
    group_name="morphology",
    kinds={"onnx", "parquet"},
    code_version="3",
    deps=[raw_images],
    check_specs=check_specs("feature_vectors", VECTOR_CHECKS),
)
def feature_vectors(
    context: dg.AssetExecutionContext,
    config: FeatureVectorsConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """One vector per image by the extractor that is set; EfficientNet-Lite0's is the mean of colour and grey."""
    from fungal_assets.morphology.extractors import find_extractor, licences_of
    from fungal_assets.morphology.features import extract_features

    raw, settings = store.get("raw_images"), config.fill("feature_vectors", profile)
    with told_plainly():
        sources = {"extractor": find_extractor(settings["extractor"]).sha256}
    return keep(
        context,
        store,
        inputs=[raw],
        settings=settings,
        sources=sources,
        build=lambda folder, **settings: extract_features(raw.path, folder, **settings),
        checks=VECTOR_CHECKS,
        preview=sheets("twins.webp"),
        licences=licences_of(settings["extractor"]),
    )


class ClustersConfig(StageConfig):
    """How many species may be found."""

    algorithm: str | None = Field(
        default=None,
        pattern="^(kmeans|hdbscan)$",
        description="`kmeans`, round clusters; `hdbscan`, dense places of any shape.",
    )
    min_clusters: int | None = Field(default=None, ge=2, le=200, description="Fewest clusters tried.")
    max_clusters: int | None = Field(
        default=None,
        ge=2,
        le=500,
        description="Most clusters tried; as many as the fewest to give the number.",
    )
    seed: int | None = Field(default=None, ge=0, description="Seed of the fits and of the subsamples.")


def _every_image_once(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.morphology.checks import check_assignments

    return check_assignments(output.path, inputs["raw_images"].path)


def _stable(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.morphology.checks import check_stability

    return check_stability(output.path, least=MIN_STABILITY)


def _not_by_colour(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.morphology.checks import check_colour_does_not_dominate

    return check_colour_does_not_dominate(output.path, most=MAX_ETA2_COLOUR)


def _mixed(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.morphology.checks import check_clusters_are_mixed

    return check_clusters_are_mixed(
        output.path, most_of_a_colour=MOST_OF_A_COLOUR, fewest=FEWEST_OF_A_CREATOR
    )


CLUSTER_CHECKS = (
    Check(
        "every_image_in_one_cluster",
        "Every image with a feature vector is in exactly one cluster, and no cluster is empty.",
        _every_image_once,
        blocking=True,
    ),
    Check("clusters_are_stable", "The same clusters come back from other samples of the images.", _stable),
    Check(
        "clusters_are_mixed",
        "No cluster is of one colour from edge to edge, or of one creator among many.",
        _mixed,
    ),
    Check("not_by_colour_alone", "The clusters are not merely colours.", _not_by_colour),
)


@dg.asset(
    group_name="morphology",
    kinds={"scikitlearn", "parquet"},
    code_version="6",
    deps=[feature_vectors, raw_images],
    check_specs=check_specs("clusters", CLUSTER_CHECKS),
)
def clusters(
    context: dg.AssetExecutionContext, config: ClustersConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """Which image belongs to which cluster, how many there are and why, with a montage and a map."""
    from fungal_assets.morphology.clusters import find_clusters

    vectors, raw = store.get("feature_vectors"), store.get("raw_images")
    return keep(
        context,
        store,
        inputs=[vectors, raw],
        settings=config.fill("clusters", profile),
        build=lambda folder, **settings: find_clusters(vectors.path, raw.path, folder, **settings),
        checks=CLUSTER_CHECKS,
        preview=sheets("montage.webp", "map.png"),
    )
