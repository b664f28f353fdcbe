"""Images of which only some have a class."""

from itertools import islice

import pytest
import torch

from ganforge.core.errors import DataError
from ganforge.data.images import Images
from ganforge.data.imageset import ImageSet
from ganforge.data.partly import partly_labelled


def images(labels, names=("a", "b", "unlabelled")):
    """Every image is its own number, so that its label can be told from it."""
    n = len(labels)
    pixels = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 2, 2).contiguous()
    return ImageSet(pixels, torch.tensor(labels), names)


def numbers(x):
    return ((x[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


LABELS = [0, 1, 2, 2, 0, 1, 2, 0, 1, 0]


def test_the_class_called_unlabelled_is_none_and_its_images_are_used_without_one():
    data = partly_labelled(images(LABELS), "unlabelled", 0, 0)
    assert data.labels is None and data.spec.classes == 0 and data.spec.names == ("a", "b") and len(data) == 10
    seen, known = set(), set()
    for batch in islice(data.batches(5, seed=0), 4):
        assert batch.keys() == {"x", "known", "kind"}
        seen |= set(numbers(batch["x"]))
        known |= set(zip(numbers(batch["known"]), batch["kind"].tolist(), strict=True))
    assert seen == set(range(10))
    assert known == {(i, label) for i, label in enumerate(LABELS) if label != 2}


def test_classes_keep_their_names_when_the_unlabelled_one_comes_first():
    data = partly_labelled(images([1, 2, 0, 2, 1], ("0 none", "cat", "dog")), "0 none", 0, 0)
    assert data.known.names == ("cat", "dog")
    assert dict(zip(data.known.images[:, 0, 0, 0].tolist(), data.known.labels.tolist(), strict=True)) == {0: 0, 1: 1, 3: 1, 4: 0}


def test_so_many_labels_a_class_are_kept_by_the_seed_alone():
    def kept(seed, per_class=2):
        return partly_labelled(Images(path="digits").load(), "unlabelled", per_class, seed).known

    assert kept(0).labels.bincount().tolist() == [2] * 10
    assert torch.equal(kept(0).images, kept(0).images) and not torch.equal(kept(0).images, kept(1).images)
    more = {tuple(image.flatten().tolist()) for image in kept(0, 5).images}
    assert {tuple(image.flatten().tolist()) for image in kept(0).images} <= more  # so budgets of labels can be compared
    assert kept(0, 10**6).labels.bincount().tolist() == Images(path="digits").load().labels.bincount().tolist()


def test_batches_start_anywhere_and_divide_over_processes():
    data = partly_labelled(images(LABELS), "unlabelled", 0, 3)
    whole = list(islice(data.batches(4, seed=1), 6))
    for late, batch in zip(data.batches(4, seed=1, start=4), whole[4:]):
        assert all(torch.equal(late[key], batch[key]) for key in batch)
    parts = [next(data.batches(4, seed=1, rank=rank, world=2)) for rank in range(2)]
    assert all(torch.equal(torch.cat([part[key] for part in parts]), whole[0][key]) for key in whole[0])


def test_the_fingerprint_tells_which_labels_are_known():
    prints = {partly_labelled(images(LABELS), "unlabelled", k, seed).fingerprint for k, seed in ((0, 0), (1, 0), (1, 1), (1, 7))}
    assert len(prints) >= 3 and images(LABELS).fingerprint not in prints
    assert partly_labelled(images(LABELS), "unlabelled", 1, 0).fingerprint in prints
    whole, other = images(LABELS), images(LABELS)
    other.images[2] += 100  # an unlabelled image
    assert partly_labelled(whole, "unlabelled", 0, 0).fingerprint != partly_labelled(other, "unlabelled", 0, 0).fingerprint


def test_the_report_says_how_many_labels_are_left():
    notes = partly_labelled(images(LABELS), "unlabelled", 0, 0).report["notes"]
    assert notes[-1] == "7 of 10 images keep their label, 3 to 4 a class"


def test_data_without_classes_is_refused_in_words():
    with pytest.raises(DataError, match="needs the class of some images"):
        partly_labelled(ImageSet(torch.zeros(4, 1, 2, 2, dtype=torch.uint8)), "unlabelled", 0, 0)
    with pytest.raises(DataError, match="at least two classes; apart from 'unlabelled' it has 1"):
        partly_labelled(images([0, 1, 1], ("a", "unlabelled")), "unlabelled", 0, 0)
    with pytest.raises(DataError, match="at least two classes; this data has 1"):
        partly_labelled(images([0, 0, 0], ("a",)), "unlabelled", 0, 0)
