"""A plugin of pytest that puts our LinearSVC in the place of scikit-learn's: ``pytest -p in_place_of_linear_svc --pyargs sklearn.svm.tests``."""

import sklearn.svm
import sklearn.svm._classes

import burn_svm

sklearn.svm.LinearSVC = sklearn.svm._classes.LinearSVC = burn_svm.LinearSVC
