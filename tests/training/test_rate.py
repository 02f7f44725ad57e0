from trainbox.training.rate import Waiting


def test_only_time_without_a_batch_is_waited() -> None:
    waiting = Waiting()
    waiting.begin(10.0)
    waiting.count(handed_over=10.5, now=12.0)  # half a second too late
    waiting.count(handed_over=11.0, now=14.0)  # there while the step before still computed
    assert waiting.share() == 0.5 / 4
    waiting.begin(20.0)
    assert waiting.share() == 0
    waiting.count(handed_over=20.0, now=24.0)
    assert (waiting.share(), waiting.share_of_all()) == (0, 0.5 / 8)
