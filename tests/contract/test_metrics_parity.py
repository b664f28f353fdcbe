"""The same features give the same numbers as in other people's programs: prdc and scikit-image run here, others have printed theirs.

torch-fidelity, clean-fid and pytorch-msssim need a torchvision or a torch of their own choice, so they do not run with the tests.
What they make of the arrays below is in PRINTED, by

    pip install --no-deps torch-fidelity==0.4.0 clean-fid==0.1.35 pytorch-msssim==1.0.0 tqdm requests torchvision
    python -m tests.contract.test_metrics_parity

MIND is newer than that torch-fidelity: its number was printed by torch_fidelity/metric_mind.py of the repository's commit a51aa64.
"""

import importlib.util
import json

import numpy as np
import pytest
import torch

from ganforge.metrics.coverage import density_coverage
from ganforge.metrics.frechet import frechet_distance, from_moments
from ganforge.metrics.inception_score import inception_score
from ganforge.metrics.kernel import kernel_distance
from ganforge.metrics.mind import mind
from ganforge.metrics.moments import Moments
from ganforge.metrics.pairs import ms_ssim, psnr, ssim
from ganforge.metrics.precision_recall import precision_recall


def features(n: int, seed: int, scale: float = 1.0, d: int = 64) -> torch.Tensor:
    """(n, d) like those of a network: mixed, not negative, far from Gaussian. RandomState's numbers never change."""
    mix = np.random.RandomState(0).randn(d, d) * np.linspace(2, 0.05, d) / d**0.5
    return torch.from_numpy(np.maximum(scale * np.random.RandomState(seed).randn(n, d) @ mix + 0.3, 0))


REAL, FAKE = features(1500, 1), features(1200, 2, 1.1)
FEW_REAL, FEW_FAKE = features(40, 3), features(50, 4, 1.1)
LOGITS = 4 * features(1000, 5)
PICTURES = torch.from_numpy(np.random.RandomState(6).uniform(-1, 1, (2, 3, 192, 208)).cumsum(3).cumsum(2) / 60).tanh()
NOISY = (PICTURES + 0.1 * torch.from_numpy(np.random.RandomState(7).randn(2, 3, 192, 208))).clamp(-1, 1)

PRINTED: dict = {
    "torch-fidelity fid": 1.3086645186927228,
    "clean-fid fid": 1.3086645186925665,
    "torch-fidelity few fid": 19.26906183435853,
    "clean-fid few fid": 19.269061876607914,
    "torch-fidelity kid": [0.04834716046860774, 0.01276527398267226],
    "clean-fid kid": 0.038480618530744415,
    "clean-fid few kid": 0.03354613608893171,
    "torch-fidelity isc": [13.863997522546214, 0.4907385426510944],
    "torch-fidelity prc 3": [0.6158333420753479, 0.9146666526794434],
    "torch-fidelity prc 5": [0.7141666412353516, 0.9520000219345093],
    "torch-fidelity mind": 2.717496693134308,
    "pytorch-msssim ms_ssim": [0.9390603227941244, 0.9358652329165191],
    "pytorch-msssim ssim": [0.5926194328089006, 0.6018233328800165],
}


def near(value):
    """Far closer than the 1e-3 that a printed number needs."""
    return pytest.approx(value, rel=1e-6)


def test_frechet_distance_as_torch_fidelity_and_clean_fid():
    for real, fake, name in ((REAL, FAKE, ""), (FEW_REAL, FEW_FAKE, "few ")):
        of_real, of_fake = Moments().add(real), Moments().add(fake)
        for found in (frechet_distance(real, fake), from_moments(of_real.mean, of_real.cov, of_fake.mean, of_fake.cov)):
            assert found == near(PRINTED[f"torch-fidelity {name}fid"]) == near(PRINTED[f"clean-fid {name}fid"])


def test_frechet_distance_as_the_root_of_scipy():
    from scipy.linalg import sqrtm

    cov_a, cov_b = np.cov(REAL.numpy().T), np.cov(FAKE.numpy().T)
    apart = REAL.numpy().mean(0) - FAKE.numpy().mean(0)
    wanted = apart @ apart + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert frechet_distance(REAL, FAKE) == near(wanted)


def test_kernel_distance_as_torch_fidelity_and_clean_fid():
    mean, std = kernel_distance(FAKE, REAL, subsets=20, size=500, seed=2020)
    assert [mean, std] == near(PRINTED["torch-fidelity kid"])
    assert kernel_distance(FAKE, REAL, subsets=20, size=500)[0] == near(PRINTED["clean-fid kid"])
    assert kernel_distance(FEW_REAL, FEW_FAKE)[0] == near(PRINTED["clean-fid few kid"])


def test_inception_score_as_torch_fidelity():
    assert list(inception_score(LOGITS, splits=5, seed=2020)) == near(PRINTED["torch-fidelity isc"])


def test_precision_and_recall_as_torch_fidelity_and_prdc():
    from prdc import compute_prdc

    for k in (3, 5):
        precision, recall = precision_recall(REAL, FAKE, k)
        assert [precision, recall] == near(PRINTED[f"torch-fidelity prc {k}"])
        theirs = compute_prdc(REAL.numpy(), FAKE.numpy(), k)
        assert (precision, recall) == near((theirs["precision"], theirs["recall"]))


def test_density_and_coverage_as_prdc():
    from prdc import compute_prdc

    for k in (3, 5):
        theirs = compute_prdc(REAL.numpy(), FAKE.numpy(), k)
        assert density_coverage(REAL, FAKE, k) == pytest.approx((theirs["density"], theirs["coverage"]), rel=1e-5)


def test_mind_as_torch_fidelity():
    assert mind(REAL[:1200], FAKE, projections=500, seed=2020) == near(PRINTED["torch-fidelity mind"])


def test_psnr_and_ssim_as_scikit_image():
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    for i, (a, b) in enumerate(zip(PICTURES.numpy(), NOISY.numpy())):
        assert psnr(PICTURES, NOISY)[i].item() == near(peak_signal_noise_ratio(a, b, data_range=2))
        how = {"data_range": 2, "channel_axis": 0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        theirs = structural_similarity(a + 1, b + 1, **how)
        assert ssim(PICTURES, NOISY)[i].item() == near(theirs)


def test_ms_ssim_as_pytorch_msssim():
    for measure, name in ((ms_ssim, "ms_ssim"), (ssim, "ssim")):  # its window is rounded to float32
        assert measure(PICTURES, NOISY).tolist() == pytest.approx(PRINTED[f"pytorch-msssim {name}"], rel=1e-5)


def reference() -> dict:
    """What the programs that cannot run with the tests make of the same arrays."""
    import cleanfid.fid
    import pytorch_msssim
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    found: dict = {}
    for name, real, fake in (("", REAL, FAKE), ("few ", FEW_REAL, FEW_FAKE)):
        of_real, of_fake = fid_features_to_statistics(real), fid_features_to_statistics(fake)
        found[f"torch-fidelity {name}fid"] = fid_statistics_to_metric(of_real, of_fake, False)["frechet_inception_distance"]
        moments = (of_real["mu"], of_real["sigma"], of_fake["mu"], of_fake["sigma"])
        found[f"clean-fid {name}fid"] = float(cleanfid.fid.frechet_distance(*moments))
    kid = kid_features_to_metric(FAKE, REAL, kid_subsets=20, kid_subset_size=500, rng_seed=2020, verbose=False)
    found["torch-fidelity kid"] = [kid["kernel_inception_distance_mean"], kid["kernel_inception_distance_std"]]
    np.random.seed(0)  # it draws from its second set first
    found["clean-fid kid"] = cleanfid.fid.kernel_distance(REAL.numpy(), FAKE.numpy(), num_subsets=20, max_subset_size=500)
    np.random.seed(0)
    found["clean-fid few kid"] = cleanfid.fid.kernel_distance(FEW_FAKE.numpy(), FEW_REAL.numpy())
    score = isc_features_to_metric(LOGITS, splits=5, shuffle=True, rng_seed=2020)
    found["torch-fidelity isc"] = [score["inception_score_mean"], score["inception_score_std"]]
    for k in (3, 5):
        prc = prc_features_to_metric(FAKE, REAL, prc_neighborhood=k, verbose=False)
        found[f"torch-fidelity prc {k}"] = [prc["precision"], prc["recall"]]
    if importlib.util.find_spec("torch_fidelity.metric_mind"):
        from torch_fidelity.metric_mind import mind_features_to_metric

        monge = mind_features_to_metric(REAL[:1200], FAKE, mind_num_projections=500, cuda=False, rng_seed=2020, verbose=False)
        found["torch-fidelity mind"] = monge["monge_inception_distance"]
    found["pytorch-msssim ms_ssim"] = pytorch_msssim.ms_ssim(PICTURES + 1, NOISY + 1, data_range=2, size_average=False).tolist()
    found["pytorch-msssim ssim"] = pytorch_msssim.ssim(PICTURES + 1, NOISY + 1, data_range=2, size_average=False).tolist()
    return found


if __name__ == "__main__":
    print(json.dumps(reference(), indent=4))
